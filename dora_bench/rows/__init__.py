"""One row of the results: run the model, measure it, score it, keep a picture of it."""
