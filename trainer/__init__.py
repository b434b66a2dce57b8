"""Training of the network: data, augmentation, losses, the loop, calibration. Never imported by the app."""
