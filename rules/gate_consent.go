package rules

// gateConsent holds back a message of a class that needs the user's consent
// unless the attribute says that it is there.
func gateConsent(f *firing) Outcome {
	class := f.op.Send.Class
	for i := range f.set.Policy.Consent {
		c := &f.set.Policy.Consent[i]
		if !concerns(c.Class, class) {
			continue
		}
		if v := f.env.Attribute(c.Require); v.Kind != Bool || !v.Bool() {
			f.note(c.Require.Name, v)
			return NoConsent
		}
	}
	return pass
}

// concerns says whether a policy for a class, or for every, holds for messages
// of another. None does for transactional ones.
func concerns(policy, class string) bool {
	return class != Transactional && (policy == "" || policy == class)
}
