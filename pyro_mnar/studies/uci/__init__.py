"""The imputation study on UCI tables: the protocol of Ipsen, Mattei & Frellsen 2021, section 4.2."""
