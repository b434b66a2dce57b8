"""Training of the network, from signed corrections or from folders of labelled images. Never imported by the app."""
