"""Purchase to pay: the items of purchase orders, from their creation to the clearing of their invoices."""
