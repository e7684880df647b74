package input

import "fmt"

// openSegment takes a call of the Segment spec apart
// (https://segment.com/docs/connections/spec/).
func openSegment(u *Unwrapper, value []byte, _ Headers) (parts, error) {
	var err error
	if u.top, err = u.object(u.top[:0], value); err != nil {
		return parts{}, err
	}
	call, err := u.text(get(u.top, "type"), "type", "", false)
	if err != nil {
		return parts{}, fmt.Errorf("the Segment call: %w", err)
	}
	p := parts{typ: get(u.top, "type"), id: get(u.top, "messageId")}
	payload := "properties"
	switch string(call) {
	case "track":
		p.typ = get(u.top, "event")
	case "page", "screen":
	case "identify", "group", "alias":
		payload = "traits"
	default:
		return parts{}, fmt.Errorf("the Segment call has the type %q: track, page, screen, identify, group or alias is expected", shorten(call))
	}
	p.user = firstOf(u.top, "userId", "anonymousId")
	p.time = firstOf(u.top, "timestamp", "receivedAt")

	used := []string{"type", "messageId", "timestamp", payload}
	if string(call) == "track" {
		used = append(used, "event")
	}
	if raw := get(u.top, payload); !absent(raw) {
		members, err := u.object(nil, raw)
		if err != nil {
			return parts{}, fmt.Errorf("%s: %w", payload, err)
		}
		p.rest = append(p.rest, part{name: payload, members: members})
	}
	p.rest = append(p.rest, u.around("segment", used))
	return p, nil
}

// firstOf returns the first member of the names that says something.
func firstOf(members []member, names ...string) []byte {
	for _, name := range names {
		if raw := get(members, name); !absent(raw) && string(raw) != `""` {
			return raw
		}
	}
	return nil
}
