"""How a network learns: labelled images, crops, losses, one run of steps; fine-tuning on a lab's examples."""
