"""From a folder of images to an exported network within a stated time; calls the stages that are commands too."""
