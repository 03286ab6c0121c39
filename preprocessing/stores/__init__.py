"""Object stores: addresses used like paths, whole objects in and out, a ledger kept in one."""
