"""Opens an fnet-export bundle and answers: text in, labels, spans, fillers or embeddings out."""
