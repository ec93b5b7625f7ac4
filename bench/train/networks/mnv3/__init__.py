"""OFA-MobileNetV3 as networks: the elastic supernet, its sub-networks as timm models, checkpoints."""
