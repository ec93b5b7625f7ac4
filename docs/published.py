"""Figures of searches for one objective that others published, quoted on several pages: where from, and what they are.

What a page calls published is from here or quoted on that page; nothing here was measured by this suite.
"""

#: Dong and Yang, NAS-Bench-201, ICLR 2020: test accuracies (%) on CIFAR-10 of searches that may spend so much.
NAS_BENCH_201 = "https://arxiv.org/abs/2001.00326"
SIMULATED = "12,000 simulated seconds"
ACCURACIES = {"regularised evolution": 93.92, "REINFORCE": 93.85, "random search": 93.70, "BOHB": 93.61}
#: The accuracy of the best cell there.
LARGEST_ACCURACY = 94.37
#: White, Nolen and Savani, abstract of the first version: architectures trained until the optimum of NAS-Bench-201 on
#: CIFAR-100, mean.
LOCAL_SEARCH = "https://arxiv.org/abs/2005.02960"
LOCAL_SEARCH_EVALUATIONS = 127
