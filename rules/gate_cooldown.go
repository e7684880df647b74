package rules

// gateCooldown holds back a send less than the cooldown after the last one of
// the same rule. A late event counts as of the user's newest: the clock of a
// cooldown does not run backwards.
func gateCooldown(f *firing) Outcome {
	if f.rule.Cooldown == 0 {
		return pass
	}
	if last, ok := f.st.lastSent(f.rule.ID); ok && max(f.at, f.st.newest)-last < f.rule.Cooldown {
		return Cooldown
	}
	return pass
}
