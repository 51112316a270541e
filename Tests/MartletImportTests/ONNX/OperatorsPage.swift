import MartletCore
import MartletOperators

@testable import MartletImport

/// docs/operators.md, as the tables of operators state it.
enum OperatorsPage {
  static var text: String {
    """
    # Operators

    What Martlet runs, as its tables of operators state it. Do not edit: after a change of an operator's schema or of a
    line in a table, `scripts/operators-page` writes it anew.

    ONNX models of opsets 1 to \(ONNXConverter.newestOpset) are taken. The importer makes older forms of an operator into its newest
    one; `martlet inspect` lists what a model has, and what is missing is named when it is loaded.

    - **inputs**: those in brackets may be absent; `...` says that the last may repeat.
    - **takes**: tensors of *numbers* (bool, integers of 8 bits and more, floats of 16 and more) and of *strings*, as far as
      ONNX defines the operator for them (others are refused with a message); *narrow* are floats of 8 bits and less and
      integers of less. *Any value* is a tensor, a sequence, an optional, a map or a state.
    - **notes**: *rewritten* where older versions, or the newest, become other nodes while a model is loaded; *refused* is what
      gets a status in place of a result. *Elementwise*, *may view* (its result may share an input's memory), *over*
      (which inputs a result may be written over), *random* and *takes over* are what passes and the plan rely on.
      *Fused* functions are applied by the product before them.

    ## ONNX's operators

    \(table(rows(of: "", "ai.onnx.preview")))

    ## ONNX's operators of classical machine learning

    Of the domain `ai.onnx.ml`, versions 1 to 5.

    \(table(rows(of: OperatorID.machineLearningDomain)))

    ## ONNX Runtime's operators

    Of the domain `com.microsoft`, version 1.

    \(table(rows(of: OperatorID.microsoftDomain)))

    ## Martlet's own operators

    Of the domain `ai.martlet`, made by passes or called by name (`martlet_op_run` in C, `martlet.op` in Python); no file may use
    them.

    \(table(ownRows))

    \(ownAttributes)

    ## Known and not run

    Of these the importer knows the forms and no operator runs them; nor do those of ONNX that this page does not name:
    \(missing)

    """
  }

  // MARK: - Rows

  private static func table(_ rows: [[String]]) -> String {
    let head = ["operator", "inputs", "outputs", "takes", "notes"]
    return ([head, head.map { _ in "---" }] + rows)
      .map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }

  private static func rows(of domains: String...) -> [[String]] {
    ONNXTable.all.filter { domains.contains($0.op.domain) }.compactMap { entry in
      guard let schema = OperatorTable.lookup(entry.target)?.schema else { return nil }
      var notes: [String] = []
      if entry.target != entry.op {
        let isNear = ["", entry.op.domain].contains(entry.target.domain)
        notes.append("as \(isNear ? entry.target.name : entry.target.description)")
      }
      if entry.isRewritten, entry.target == entry.op { notes.append("rewritten") }
      if !entry.refused.isEmpty { notes.append("refused: \(entry.refused)") }
      return row(domains.count == 1 ? entry.op.name : entry.op.description, schema, notes)
    }
  }

  private static var ownSchemas: [OperatorSchema] {
    OperatorTable.all.map { $0.schema }.filter { $0.id.domain == OperatorID.martletDomain }
      .sorted { $0.name < $1.name }
  }

  private static var ownRows: [[String]] { ownSchemas.map { row($0.id.name, $0, []) } }

  private static var ownAttributes: String {
    ownSchemas.filter { !$0.attributes.isEmpty }.map { schema in
      let lines = schema.attributes.sorted { $0.key < $1.key }.map { "- `\($0)`: \($1)" }
      return "Attributes of \(schema.id.name):\n" + lines.joined(separator: "\n")
    }.joined(separator: "\n\n")
  }

  private static var missing: String {
    ONNXTable.all.filter { OperatorTable.lookup($0.target) == nil }.map(\.op.description)
      .joined(separator: ", ") + "."
  }

  private static func row(_ name: String, _ schema: OperatorSchema, _ notes: [String]) -> [String] {
    // Of an operator that becomes another, that one's row has the rest.
    if !notes.isEmpty, notes[0].hasPrefix("as ") {
      return [name, "", "", "", notes.joined(separator: "; ")]
    }
    return [
      name, inputs(schema), schema.outputs.joined(separator: ", "), takes(schema.traits),
      (notes + traits(schema)).joined(separator: "; "),
    ]
  }

  private static func inputs(_ schema: OperatorSchema) -> String {
    var names = schema.inputs.enumerated().map { index, name in
      index < schema.requiredInputs ? name : "[\(name)]"
    }
    if schema.isVariadic { names.append("...") }
    return names.joined(separator: ", ")
  }

  private static func takes(_ traits: OperatorTraits) -> String {
    if traits.takesAnyKind { return "any value" }
    var kinds = traits.takesAnyElement ? "numbers, strings" : "numbers"
    if case .refused = traits.narrowInputs {} else { kinds += ", narrow" }
    return kinds
  }

  private static func traits(_ schema: OperatorSchema) -> [String] {
    let traits = schema.traits
    func names(_ inputs: Set<Int>) -> String {
      inputs.sorted().map { schema.inputName($0) }.joined(separator: ", ")
    }
    var words: [String] = []
    if traits.isElementwise { words.append("elementwise") }
    if traits.isRandom { words.append("random") }
    if !traits.viewedInputs.isEmpty { words.append("may view \(names(traits.viewedInputs))") }
    if !traits.inPlaceInputs.isEmpty { words.append("over \(names(traits.inPlaceInputs))") }
    if let slots = traits.epilogue {
      words.append("takes over bias, residual and activation as \(slots.form.name)")
    }
    if ActivationTable.rows(for: .epilogue).contains(where: { $0.op == schema.id }) {
      words.append("fused")
    }
    return words
  }
}
