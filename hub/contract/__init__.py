"""What a connector may know: the invoice, the words of status, the errors, the connector itself."""
