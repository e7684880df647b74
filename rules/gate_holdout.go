package rules

// gateHoldout holds back everything of who is held out of all nudges. In an
// experiment they are counted as an arm of their own.
func gateHoldout(f *firing) Outcome {
	h := f.set.Holdout
	if h == nil {
		return pass
	}
	in, err := h.In(f.user)
	if err != nil {
		return Excluded // a NUL in the user id, which decoders refuse
	}
	if !in {
		return pass
	}
	if f.rule.Experiment != nil {
		f.arm = HoldoutArm
	}
	return HeldOut
}
