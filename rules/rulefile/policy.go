package rulefile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"

	"github.com/nudged/nudged/experiment"
	"github.com/nudged/nudged/rules"
)

// holdout reads the users that get no nudge at all.
func (c *compiler) holdout(at place, n *node) {
	if c.holdoutAt.src != nil {
		c.add(at, "keep one of the two", "there is a holdout already, at %s", c.holdoutAt)
		return
	}
	c.holdoutAt = at
	o, ok := c.object(n, holdoutKeys)
	if !ok {
		return
	}
	h := &experiment.Holdout{}
	var fine bool
	if percent := o.get("percent"); percent == nil {
		c.add(o.at, "add percent: with how many of the users get nothing, such as 5", "the holdout has no percent")
	} else if h.Percent, fine = c.number(percent, "percent", 0, 100); fine && h.Percent == 0 {
		c.add(percent.at, "write a number above zero, or leave the holdout out", "the holdout's percent is zero")
		fine = false
	}
	if h.Salt, ok = c.textOf(o, "salt", "the holdout"); !ok || !fine {
		return
	}
	if err := h.Validate(); err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			message, wayOut := splitWayOut(line)
			c.add(o.get("percent").at, wayOut, "%s", message)
		}
		return
	}
	c.set.Holdout = h
}

// splitWayOut parts an error of package experiment into what is wrong and what
// to do.
func splitWayOut(line string) (message, wayOut string) {
	if i := strings.LastIndex(line, ": "); i >= 0 {
		return line[:i], line[i+2:]
	}
	return line, "change it"
}

// policy reads what holds for the messages of all rules. What quiet hours put
// off is known at once: it decides what the rules have to keep.
func (c *compiler) policy(at place, n *node) {
	if c.policyAt.src != nil {
		c.add(at, "put all of it into one place", "there is a policy already, at %s", c.policyAt)
		return
	}
	c.policyAt = at
	o, ok := c.object(n, policyKeys)
	if !ok {
		return
	}
	c.each(o.get("caps"), "write a list: [{class: ad, max: 2, per: 24h}]", "caps", c.cap)
	c.each(o.get("quiet_hours"), `write a map: {class: ad, from: "21:00", to: "08:00"}`, "quiet_hours", c.quietHours)
	c.each(o.get("consent"), "write a map: {class: ad, require: ad_consent}", "consent", c.consent)
	if profile := o.get("profile"); profile != nil {
		if word, ok := c.word(profile, "profile", "profiles", profiles); ok && word == "kr" {
			c.korea(profile, o)
		}
	}
}

// korea fills the policy in as the Korean law on network use asks (article 50):
// no advertisement from 21:00 to 08:00 without a consent of its own, none at all
// without consent, and a mark on each. What is written beside it wins.
func (c *compiler) korea(n *node, o object) {
	c.set.Policy.Labels = append(c.set.Policy.Labels, rules.Label{Class: "ad", Text: "(광고)"})
	if !o.has("quiet_hours") {
		c.defers["ad"] = true
		c.pending = append(c.pending, func() {
			q := rules.QuietHours{Class: "ad", From: 21 * 60, To: 8 * 60, Default: "Asia/Seoul"}
			if a := c.attributes["timezone"]; a != nil {
				if a.compiled.Kind == rules.String {
					q.Timezone = attributeVariable(a.compiled).read
				} else if a.compiled.Kind != rules.Absent {
					c.add(n.at, "rename the attribute, or write quiet_hours: out", "the profile kr reads a time zone from the attribute timezone, which is of type %s", a.compiled.Kind)
				}
			}
			c.set.Policy.Quiet = append(c.set.Policy.Quiet, q)
		})
	}
	if !o.has("consent") {
		c.pending = append(c.pending, func() {
			consent := rules.Consent{Class: "ad"}
			var fine, nightFine bool
			consent.Require, fine = c.profileConsent(n, "ad_consent")
			consent.Night, nightFine = c.profileConsent(n, "ad_night_consent")
			if fine && nightFine {
				c.set.Policy.Consent = append(c.set.Policy.Consent, consent)
			}
		})
	}
}

// profileConsent returns a bool attribute that a profile goes by.
func (c *compiler) profileConsent(n *node, name string) (*rules.Attribute, bool) {
	a := c.attributes[name]
	switch {
	case a == nil:
		c.add(n.at, fmt.Sprintf("declare it: attributes: {%s: {type: bool, from: event.%s, on: …}}; or write consent: out", name, name),
			"the profile kr needs the attribute %s", name)
		return nil, false
	case a.compiled.Kind != rules.Bool && a.compiled.Kind != rules.Absent:
		c.add(n.at, "declare it with type: bool; or write consent: out", "the profile kr needs the attribute %s as a bool, but it is of type %s", name, a.compiled.Kind)
		return nil, false
	}
	return a.compiled, true
}

// policyClass reads the class that a part of the policy is for.
func (c *compiler) policyClass(o object, what string, required bool) string {
	n := o.get("class")
	if n == nil {
		if required && o.lacks("class") {
			c.add(o.at, "add class: ad", "%s has no class", what)
		}
		return ""
	}
	if n.kind == scalarNode && n.scalar.text == "transactional" {
		c.add(n.at, "write class: ad", "transactional messages know no %s", what)
		return ""
	}
	word, _ := c.word(n, "class", "classes", []string{"ad"})
	return word
}

func (c *compiler) cap(n *node) {
	o, ok := c.object(n, capKeys)
	if !ok {
		return
	}
	cp := rules.Cap{Class: c.policyClass(o, "cap", false)}
	if channel := o.get("channel"); channel != nil {
		cp.Channel, _ = c.text(channel, "channel")
	}
	if most := o.get("max"); most == nil && o.lacks("max") {
		c.add(o.at, "add max: with how many messages a user may get", "the cap has no max")
	} else if most != nil && most.literal.Kind == rules.Int && most.literal.Int() == 0 {
		c.add(most.at, "to send nothing write paused: true into the rules", "a cap with max 0 lets nothing through")
	} else {
		cp.Max, _ = c.whole(most, "max", 1, maxCap)
	}
	if o.lacks("per") {
		c.add(o.at, "add per: with a duration, such as 24h", "the cap has no per")
	}
	cp.Per = c.duration(o.get("per"), "per")
	c.set.Policy.Caps = append(c.set.Policy.Caps, cp)
}

func (c *compiler) quietHours(n *node) {
	o, ok := c.object(n, quietKeys)
	if !ok {
		return
	}
	q := rules.QuietHours{Class: c.policyClass(o, "quiet_hours", true), Default: "UTC"}
	var fromOK, toOK bool
	q.From, fromOK = c.clock(o, "from")
	q.To, toOK = c.clock(o, "to")
	if fromOK && toOK && q.From == q.To {
		c.add(o.get("to").at, "they go from the first minute that is quiet to the first that is not; to hold everything back pause the rules",
			"the quiet hours begin and end at %s", o.get("to").scalar.text)
	}
	if then := o.get("then"); then != nil {
		word, _ := c.word(then, "then", "ways", []string{"defer", "skip"})
		q.Skip = word == "skip"
	}
	if !q.Skip && q.Class != "" {
		c.defers[q.Class] = true
	}
	zone := o.get("timezone")
	if def := o.get("default_timezone"); def != nil {
		if loc := c.zone(def, "default_timezone"); loc != nil {
			q.Default = loc.String()
		}
	}
	i := len(c.set.Policy.Quiet)
	c.set.Policy.Quiet = append(c.set.Policy.Quiet, q)
	if zone == nil {
		return
	}
	if fixed, isFixed := c.fixedZone(zone); isFixed {
		if o.has("default_timezone") {
			c.add(o.keyAt("default_timezone"), "leave it out, or write an attribute: timezone: user.timezone", "default_timezone has no effect beside a fixed timezone")
		}
		if fixed != "" {
			c.set.Policy.Quiet[i].Default = fixed
		}
		return
	}
	c.pending = append(c.pending, func() { c.set.Policy.Quiet[i].Timezone = c.zoneValue(zone) })
}

// zoneForm is how a zone looks that is written without quotes of its own; an
// expression of that form would divide one unknown name by another.
var zoneForm = regexp.MustCompile(`^[A-Za-z_]+(/[A-Za-z0-9_+-]+)+$`)

// fixedZone tells whether a timezone is a literal one, and which; "" if it is one
// that there is not, which is reported.
func (c *compiler) fixedZone(n *node) (name string, fixed bool) {
	if n.kind != scalarNode {
		return "", false
	}
	text := n.scalar.text
	if unquoted := strings.Trim(text, `'"`); len(text) == len(unquoted)+2 {
		text = unquoted
	} else if !zoneForm.MatchString(text) && shortZones[text] == "" && (c.zones.find(text) == nil || c.metrics[text] != nil) {
		return "", false
	}
	if c.zones.find(text) == nil {
		c.add(n.at, zoneHint(text), "timezone: no time zone is called %q", text)
		return "", true
	}
	return text, true
}

// zoneValue compiles the timezone of quiet hours, which is asked whenever they
// are: there may be no event then.
func (c *compiler) zoneValue(n *node) rules.Expr {
	s := &scope{
		noEvent:   "quiet hours are asked whenever a message goes out: write user.timezone, with an attribute of that name",
		noTrigger: "quiet hours are asked for every rule: write user.timezone, with an attribute of that name",
		noKeyed:   "quiet hours are asked for every rule",
	}
	return c.valueOf(n, "timezone", s, `a fixed zone is written plainly: timezone: Asia/Seoul`, func(t *types.Type) (string, string) {
		if t.Kind() == types.StringKind || t.Kind() == types.DynKind {
			return "", ""
		}
		return "is of type " + typeWord(t) + ", not the name of a time zone", "use a text such as Asia/Seoul: user.timezone"
	})
}

func (c *compiler) consent(n *node) {
	o, ok := c.object(n, consentKeys)
	if !ok {
		return
	}
	i := len(c.set.Policy.Consent)
	c.set.Policy.Consent = append(c.set.Policy.Consent, rules.Consent{Class: c.policyClass(o, "consent", true)})
	if o.lacks("require") {
		c.add(o.at, "add require: with the name of a bool attribute", "the consent has no require")
	}
	c.pending = append(c.pending, func() {
		c.set.Policy.Consent[i].Require = c.boolAttribute(o.get("require"), "require")
		c.set.Policy.Consent[i].Night = c.boolAttribute(o.get("night"), "night")
	})
}

// boolAttribute reads the name of a declared attribute of type bool.
func (c *compiler) boolAttribute(n *node, what string) *rules.Attribute {
	if n == nil {
		return nil
	}
	name, ok := c.text(n, what)
	if !ok {
		return nil
	}
	name = strings.TrimPrefix(name, userName+".")
	a := c.attributes[name]
	if a == nil {
		names := make([]string, 0, len(c.attributes))
		for known := range c.attributes {
			names = append(names, known)
		}
		slices.Sort(names)
		c.add(n.at, didYouMean(name, names, "attributes"), "%s: no attribute is called %q", what, name)
		return nil
	}
	if a.compiled.Kind != rules.Bool && a.compiled.Kind != rules.Absent {
		c.add(n.at, "declare it with type: bool", "%s: the attribute %s is of type %s, not bool", what, name, a.compiled.Kind)
		return nil
	}
	return a.compiled
}

// clockForm is a time of day.
var clockForm = regexp.MustCompile(`^([01]?[0-9]|2[0-3]):([0-5][0-9])$`)

// clock reads a time of day in minutes since midnight.
func (c *compiler) clock(o object, key string) (minutes int, ok bool) {
	n := o.get(key)
	if n == nil {
		if o.lacks(key) {
			c.add(o.at, "add "+key+`: with a time of day, such as "21:00"`, "the quiet hours have no %s", key)
		}
		return 0, false
	}
	if n.kind != scalarNode {
		c.wrongKind(n, `write a time of day: "21:00"`, key)
		return 0, false
	}
	parts := clockForm.FindStringSubmatch(n.scalar.text)
	if parts == nil {
		wayOut := `write hours and minutes in quotes: "21:00"`
		if n.scalar.text == "24:00" {
			wayOut = `midnight is "00:00"`
		}
		c.add(n.at, wayOut, "%s: %q is no time of day", key, n.scalar.text)
		return 0, false
	}
	return decimal(parts[1])*60 + decimal(parts[2]), true
}

// decimal reads digits that are known to be some.
func decimal(digits string) int {
	n := 0
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n
}
