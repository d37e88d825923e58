"""Parts of lab 8: loans judged by AUC."""
