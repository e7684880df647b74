package rulefile

import "slices"

// The names that expressions know besides metrics.
const (
	eventName   = "event"
	triggerName = "trigger"
	userName    = "user"
	nowName     = "now"
)

// keywords cannot be selected either, as in user.in.
var keywords = []string{"true", "false", "null", "in"}

// reserved words of CEL and of rules, and names of types, cannot stand alone as
// the name of a metric.
var reserved = append([]string{
	eventName, triggerName, userName, nowName,
	"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop",
	"package", "namespace", "return", "var", "void", "while",
	"has", "google",
}, append(keywords, typeNames...)...)

// identifier reports a name that expressions could not use.
func (c *compiler) identifier(name, what string, at place, refused []string) bool {
	if !isIdentifier(name) {
		c.add(at, "use letters, digits and _, and no digit at the start", "%q cannot name %s", name, what)
		return false
	}
	if slices.Contains(refused, name) {
		c.add(at, "choose another name", "%s cannot be called %s: the word has a meaning in expressions", what, name)
		return false
	}
	return true
}

func isIdentifier(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
