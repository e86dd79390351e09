"""Stands in for OpenCV: rknn-toolkit2 imports it, and calls it for images alone."""
