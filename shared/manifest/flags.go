package manifest

import "gopkg.in/yaml.v3"

func flags(*decoder, *yaml.Node, *App) {}
