package rulefile

import (
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // zones where the system has none, as in an image without files
)

const (
	// maxZones bounds the cache: names come from events. There are some 600 zones
	// and as many old names.
	maxZones = 2048
	// maxZoneName is longer than any name there is, in bytes.
	maxZoneName = 64
)

// zones finds time zones by name and remembers them, unknown ones too. Any
// number of goroutines may use it.
type zones struct {
	mu    sync.RWMutex
	known map[string]*time.Location
}

func newZones() *zones { return &zones{known: map[string]*time.Location{}} }

// find returns the zone of an IANA name, nil if there is none. The machine's own
// zone ("Local") is none: an answer must not depend on where it is computed.
func (z *zones) find(name string) *time.Location {
	if name == "" || len(name) > maxZoneName || name == "Local" {
		return nil
	}
	z.mu.RLock()
	zone, ok := z.known[name]
	z.mu.RUnlock()
	if ok {
		return zone
	}
	// The zone keeps its name, and the name's memory may be used again.
	name = strings.Clone(name)
	zone, err := time.LoadLocation(name)
	if err != nil {
		zone = nil
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(z.known) < maxZones {
		z.known[name] = zone
	}
	return zone
}

// commonZones are there for suggestions.
var commonZones = []string{
	"UTC", "Africa/Cairo", "Africa/Johannesburg", "Africa/Lagos", "Africa/Nairobi", "America/Anchorage", "America/Argentina/Buenos_Aires",
	"America/Bogota", "America/Chicago", "America/Denver", "America/Halifax", "America/Lima", "America/Los_Angeles", "America/Mexico_City",
	"America/New_York", "America/Phoenix", "America/Santiago", "America/Sao_Paulo", "America/Toronto", "America/Vancouver", "Asia/Bangkok",
	"Asia/Dubai", "Asia/Ho_Chi_Minh", "Asia/Hong_Kong", "Asia/Jakarta", "Asia/Karachi", "Asia/Kolkata", "Asia/Manila", "Asia/Riyadh",
	"Asia/Seoul", "Asia/Shanghai", "Asia/Singapore", "Asia/Taipei", "Asia/Tehran", "Asia/Tokyo", "Australia/Brisbane", "Australia/Melbourne",
	"Australia/Perth", "Australia/Sydney", "Europe/Amsterdam", "Europe/Athens", "Europe/Berlin", "Europe/Dublin", "Europe/Istanbul",
	"Europe/Kyiv", "Europe/Lisbon", "Europe/London", "Europe/Madrid", "Europe/Moscow", "Europe/Paris", "Europe/Rome", "Europe/Stockholm",
	"Europe/Warsaw", "Europe/Zurich", "Pacific/Auckland", "Pacific/Honolulu",
}

// shortZones are what people write for a zone.
var shortZones = map[string]string{
	"KST": "Asia/Seoul", "JST": "Asia/Tokyo", "CST": "America/Chicago or Asia/Shanghai", "IST": "Asia/Kolkata", "PST": "America/Los_Angeles",
	"PDT": "America/Los_Angeles", "EDT": "America/New_York", "CDT": "America/Chicago", "MDT": "America/Denver", "BST": "Europe/London",
	"CEST": "Europe/Berlin", "EEST": "Europe/Athens", "Seoul": "Asia/Seoul",
}

// zone reads a literal time zone. It returns nil after reporting what is wrong.
func (c *compiler) zone(n *node, what string) *time.Location {
	name, ok := c.text(n, what)
	if !ok {
		return nil
	}
	zone := c.zones.find(name)
	if zone == nil {
		c.add(n.at, zoneHint(name), "%s: no time zone is called %q", what, name)
	}
	return zone
}

func zoneHint(name string) string {
	if other := shortZones[name]; other != "" {
		return "write " + other
	}
	if n := nearest(name, commonZones); n != "" {
		return "did you mean " + n + "?"
	}
	return "write the name of the IANA time zone database: Asia/Seoul, Europe/Berlin, UTC"
}
