"""How the small models were made."""
