"""Who works where: processes of their own and the pools of them."""
