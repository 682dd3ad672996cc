"""How invoices come in: `read.read` takes a file in any format and gives the invoice, or says why not."""
