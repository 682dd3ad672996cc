"""What the cXML portals share: envelope, reply, schema of an invoice, multipart body."""
