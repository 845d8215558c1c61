// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/signet-charm/signet/internal/dialect"
)

// TestCodesAreAllThatAreDeclared reads the declaration, because nothing else knows of a code that was forgotten.
func TestCodesAreAllThatAreDeclared(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "ask.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var declared []dialect.Code
	ast.Inspect(file, func(node ast.Node) bool {
		spec, isValue := node.(*ast.ValueSpec)
		if !isValue {
			return true
		}
		if name, isName := spec.Type.(*ast.Ident); isName && name.Name == "Code" {
			literal, isLiteral := spec.Values[0].(*ast.BasicLit)
			require.True(t, isLiteral)
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			declared = append(declared, dialect.Code(text))
		}
		return true
	})
	require.Equal(t, declared, dialect.Codes())
}

func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	var codes []dialect.Code
	for _, one := range dialect.Explanations() {
		codes = append(codes, one.Code)
		for _, text := range []string{one.Meaning, one.Next} {
			require.NotEmpty(t, text, one.Code)
			require.False(t, strings.HasSuffix(text, "."), one.Code)
			require.Zero(t, strings.Count(text, "`")%2, one.Code)
		}
	}
	require.Equal(t, dialect.Codes(), codes)
}
