//go:build tools

// Package tools names the program that this module is for, so that its requirements are kept in go.mod.
package tools

import _ "github.com/rhysd/actionlint/cmd/actionlint"
