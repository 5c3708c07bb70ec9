"""One small file per upstream layout: it reads the files, and declares the data sets."""
