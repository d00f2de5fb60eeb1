"""What the dispatcher says of itself: a seam for rare changes, logs behind it, metrics at scrape."""
