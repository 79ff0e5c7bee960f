"""Recipes: what to search for, as a TOML file, checked whole before torch is imported."""

from gentickets.recipe.compare import diff
from gentickets.recipe.families import FAMILIES, Keywords
from gentickets.recipe.load import load_recipe, parse_recipe, recipe_from, stored_recipe
from gentickets.recipe.schema import Recipe
from gentickets.recipe.sections import Claim, Data, Quality, Search, TaskChoice, Transfer
from gentickets.recipe.shipped import recipe_text, shipped_recipes
from gentickets.recipe.stored import read_recipe, recipe_of_ticket, ticket_recipe, with_changes
from gentickets.recipe.training import Objective, Train

__all__ = [
    "FAMILIES",
    "Claim",
    "Data",
    "Keywords",
    "Objective",
    "Quality",
    "Recipe",
    "Search",
    "TaskChoice",
    "Train",
    "Transfer",
    "diff",
    "load_recipe",
    "parse_recipe",
    "read_recipe",
    "recipe_from",
    "recipe_of_ticket",
    "recipe_text",
    "shipped_recipes",
    "stored_recipe",
    "ticket_recipe",
    "with_changes",
]
