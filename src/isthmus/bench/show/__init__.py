"""What the figures of a benchmark say: tables, plots, a page, advice, comparisons."""
