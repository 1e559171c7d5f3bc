"""The names of timm.data that transformers imports."""

ImageNetInfo = infer_imagenet_subset = None
