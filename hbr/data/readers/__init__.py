"""One small file per upstream layout: it turns files into rows or a task, and declares its data sets."""
