"""What each customer and portal demands: who they are, their rules, their mappings."""
