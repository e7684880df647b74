//go:build !linux

package services

import "errors"

func mountTiny(string, int) error { return errors.ErrUnsupported }

func unmountTiny(string) {}
