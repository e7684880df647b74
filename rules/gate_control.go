package rules

// gateControl holds back from the control arm what would have gone out.
func gateControl(f *firing) Outcome {
	if f.arm == Control {
		return ControlArm
	}
	return pass
}
