"""What an answer says: found in a response, read into an expression."""
