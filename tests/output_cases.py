"""Shared by the tests of outputs: files of somebody else's, commands that write, and what a folder holds."""

FOREIGN = {
    "thesis.tex": "years of work",
    "src/a.py": "print()",
    ".git/HEAD": "ref: refs/heads/main",
    "notes.md": "# notes",
    "data.csv": "arch,val_acc\n1,2\n",
    "model.pt": "weights",
    "picture.svg": "<svg/>",
    "index.html": "<html>my page</html>",
    "study.csv": "mine",
    "config.json": '{"architectures": ["mine"]}',
    "model.safetensors": "weights",
    "metrics.jsonl": "{}",
    "trained/notes/a-seed1/result.txt": "mine",
}
ARCH = "r32-3333-3333-3333-3333-3333"
RUN_CALL = ("run", "--method", "random", "--space", "toy", "--budget", 5, "--quiet")
STUDY_CALL = ("study", "--methods", "random", "--spaces", "toy", "--seeds", "0", "--budget", 5, "--jobs", 1, "--quiet")
RANK_CALL = (
    *("rank", "--space", "toy", "--surrogates", "random", "--n-train", 20, "--n-test", 30, "--seeds", 1, "--jobs", 1),
    *("--no-figures", "--quiet"),
)
#: Commands that write into a folder or a file; {runs} is a folder of finished runs.
INTO_FOLDERS = {
    "run": RUN_CALL,
    "run --overwrite": (*RUN_CALL, "--overwrite"),
    "study": STUDY_CALL,
    "rank": RANK_CALL,
    "report": ("report", "{runs}", "--no-figures"),
    "supernet train": ("supernet", "train", "--data", "digits", "--epochs", 1),
    "retrain": ("retrain", "--arch", ARCH, "--data", "digits", "--preset", "small"),
    "export": ("export", "model.pt", ARCH, "--as-is"),
}


def fill(folder, files=FOREIGN):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def picture_of(folder):
    """Return everything in a folder: names, kinds, contents, times but of locks: old filelocks touch them."""
    return {
        p.relative_to(folder).as_posix(): (
            p.name != ".lock" and p.stat().st_mtime_ns,
            p.read_bytes() if p.is_file() else None,
        )
        for p in sorted(folder.rglob("*"))
    }
