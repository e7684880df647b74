package rules

// gateExpired holds back what fires later than expire_after past its due time.
func gateExpired(f *firing) Outcome {
	if f.rule.ExpireAfter > 0 && f.at-f.in.Due > f.rule.ExpireAfter {
		return Expired
	}
	return pass
}
