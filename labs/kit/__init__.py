"""What several labs share: options, runs, data, training on images, comparisons."""
