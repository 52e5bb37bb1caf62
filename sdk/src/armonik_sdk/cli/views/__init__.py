"""What is shown of objects: columns of lists, descriptions, trees; pure, over objects as JSON."""
