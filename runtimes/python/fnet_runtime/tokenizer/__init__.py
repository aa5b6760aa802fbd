"""Cut texts into token ids."""
