package registry

import (
	"bytes"
	"encoding/json"
)

// jsonMessage is JSON already. It is not validated against its schema: the
// producer's serializer does that.
type jsonMessage struct{ title string }

func newJSON(text string) schema {
	var s struct {
		Title string `json:"title"`
	}
	// A schema may be a plain true: then it has no title.
	_ = json.Unmarshal([]byte(text), &s)
	return jsonMessage{s.Title}
}

func (m jsonMessage) appendJSON(dst, message []byte) ([]byte, string, error) {
	return append(dst, bytes.TrimSpace(message)...), m.title, nil
}
