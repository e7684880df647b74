// Package examples holds rule sets, one folder for each use case. Some are
// embedded so that the demo needs no files.
package examples

import _ "embed"

// Cart is examples/cart/rules.yaml.
//
//go:embed cart/rules.yaml
var Cart []byte
