"""Hubs: publishing datasets to Hugging Face and Kaggle, and fetching them from there."""
