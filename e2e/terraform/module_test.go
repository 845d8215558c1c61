// SPDX-License-Identifier: AGPL-3.0-only

package terraform_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"gopkg.in/yaml.v3"
)

const root = "../.."

// blocks gives the blocks of a kind in all files of the module, by their labels.
func blocks(t *testing.T, kind string) map[string]*hclsyntax.Body {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "terraform", "*.tf"))
	require.NoError(t, err)
	require.Len(t, names, 4)
	found := map[string]*hclsyntax.Body{}
	parser := hclparse.NewParser()
	for _, name := range names {
		file, problems := parser.ParseHCLFile(name)
		require.False(t, problems.HasErrors(), problems.Error())
		for _, block := range file.Body.(*hclsyntax.Body).Blocks {
			if block.Type == kind {
				require.NotContains(t, found, strings.Join(block.Labels, "."), "declared twice")
				found[strings.Join(block.Labels, ".")] = block.Body
			}
		}
	}
	return found
}

// value evaluates an expression, in which the application has its name.
func value(t *testing.T, expression hcl.Expression) cty.Value {
	t.Helper()
	found, problems := expression.Value(&hcl.EvalContext{Variables: map[string]cty.Value{
		"juju_application": cty.ObjectVal(map[string]cty.Value{"signet": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("ca")})}),
	}})
	require.False(t, problems.HasErrors(), problems.Error())
	return found
}

func TestVariablesAreThoseThatCanonicalsModulesHave(t *testing.T) {
	t.Parallel()
	declared := blocks(t, "variable")
	wanted := map[string]string{ // and their types
		"app_name": "string", "base": "string", "channel": "string", "config": "map(string)", "constraints": "string",
		"model_uuid": "string", "revision": "number", "units": "number",
	}
	for name, body := range declared {
		require.Contains(t, wanted, name)
		kind := body.Attributes["type"].Expr.Range()
		text := source(t, kind)
		require.Equal(t, wanted[name], text, name)
		require.NotEmpty(t, value(t, body.Attributes["description"].Expr).AsString(), name)
		_, hasDefault := body.Attributes["default"]
		require.Equal(t, name != "model_uuid", hasDefault, name)
	}
	require.Len(t, declared, len(wanted))
}

// source gives the text of a place in the module.
func source(t *testing.T, at hcl.Range) string {
	t.Helper()
	text, err := os.ReadFile(at.Filename)
	require.NoError(t, err)
	return string(at.SliceBytes(text))
}

// The attributes are those of the resource in the provider juju/juju, version 1.
func TestApplicationIsWhatTheProviderKnows(t *testing.T) {
	t.Parallel()
	application := blocks(t, "resource")["juju_application.signet"]
	require.NotNil(t, application)
	for name := range application.Attributes {
		require.Contains(t, []string{"name", "model_uuid", "config", "constraints", "units", "trust"}, name)
	}
	require.Len(t, application.Blocks, 1)
	require.Equal(t, "charm", application.Blocks[0].Type)
	for name := range application.Blocks[0].Body.Attributes {
		require.Contains(t, []string{"name", "base", "channel", "revision"}, name)
	}
	require.Equal(t, charm(t).Name, value(t, application.Blocks[0].Body.Attributes["name"].Expr).AsString())
}

func TestEachVariableIsUsedAndNoOther(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for kind := range map[string]bool{"resource": true, "output": true} {
		for _, body := range blocks(t, kind) {
			for _, name := range variablesIn(body) {
				used[name] = true
			}
		}
	}
	declared := blocks(t, "variable")
	for name := range used {
		require.Contains(t, declared, name)
	}
	for name := range declared {
		require.Contains(t, used, name)
	}
}

// variablesIn gives the names after "var." in a body.
func variablesIn(body *hclsyntax.Body) []string {
	var found []string
	for _, attribute := range body.Attributes {
		for _, traversal := range attribute.Expr.Variables() {
			if traversal.RootName() == "var" {
				found = append(found, traversal[1].(hcl.TraverseAttr).Name)
			}
		}
	}
	for _, block := range body.Blocks {
		found = append(found, variablesIn(block.Body)...)
	}
	return found
}

type metadata struct {
	Name     string         `yaml:"name"`
	Provides map[string]any `yaml:"provides"`
	Requires map[string]any `yaml:"requires"`
}

func charm(t *testing.T) metadata {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "metadata.yaml"))
	require.NoError(t, err)
	var meta metadata
	require.NoError(t, yaml.Unmarshal(text, &meta))
	return meta
}

func TestOutputsAreTheCharmsEndpoints(t *testing.T) {
	t.Parallel()
	outputs := blocks(t, "output")
	require.Len(t, outputs, 2)
	require.Equal(t, "ca", value(t, outputs["app_name"].Attributes["value"].Expr).AsString())
	endpoints := value(t, outputs["endpoints"].Attributes["value"].Expr)
	meta := charm(t)
	require.NotEmpty(t, meta.Provides)
	require.NotEmpty(t, meta.Requires)
	require.Equal(t, 2, endpoints.LengthInt())
	for side, declared := range map[string]map[string]any{"provides": meta.Provides, "requires": meta.Requires} {
		found := endpoints.GetAttr(side)
		require.Equal(t, len(declared), found.LengthInt(), side)
		for name := range declared {
			require.Equal(t, name, found.GetAttr(strings.ReplaceAll(name, "-", "_")).AsString())
		}
	}
}

// What the module's page shows is taken by the module.
func TestExampleOfTheModulesPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "terraform", "README.md"))
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, shown)
	file, problems := hclparse.NewParser().ParseHCL(shown[1], "README.md")
	require.False(t, problems.HasErrors(), problems.Error())
	declared := blocks(t, "variable")
	for name := range declared {
		require.Contains(t, string(page), "| `"+name+"` |")
	}
	modules := 0
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		if block.Type != "module" {
			continue
		}
		modules++
		require.Contains(t, block.Body.Attributes, "model_uuid")
		for name := range block.Body.Attributes {
			if name != "source" {
				require.Contains(t, declared, name)
			}
		}
	}
	require.Equal(t, 1, modules)
	for _, match := range regexp.MustCompile(`module\.signet\.endpoints\.(provides|requires)\.(\w+)`).FindAllSubmatch(shown[1], -1) {
		endpoints := value(t, blocks(t, "output")["endpoints"].Attributes["value"].Expr)
		require.True(t, endpoints.GetAttr(string(match[1])).Type().HasAttribute(string(match[2])), string(match[0]))
	}
}
