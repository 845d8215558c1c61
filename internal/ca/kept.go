// SPDX-License-Identifier: AGPL-3.0-only

package ca

import "strings"

// IsKept tells by a blob's name the key of an answer that is kept only to answer a repeated order, until Prune drops it.
func IsKept(name string) bool { return strings.HasPrefix(name, outboxPrefix) }
