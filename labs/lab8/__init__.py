"""Parts of lab 8, loan approval judged by AUC."""
