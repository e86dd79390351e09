using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;

namespace ModelPipeline.Tests.PublicApi;

/// <summary>
/// What others can call in an assembly, as text: a type a paragraph, a member a line, in the order of their names. Nullability is left out.
/// </summary>
internal static class ApiListing
{
    private const BindingFlags Declared =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>Bases that every class, enum or struct has.</summary>
    private static readonly string[] Roots = ["System.Object", "System.Enum", "System.ValueType"];

    private static readonly Dictionary<string, string> Keywords = new()
    {
        ["System.Void"] = "void",
        ["System.String"] = "string",
        ["System.Boolean"] = "bool",
        ["System.Int32"] = "int",
        ["System.Int64"] = "long",
        ["System.Object"] = "object",
    };

    public static string Of(Assembly assembly)
    {
        var text = new StringBuilder();
        foreach (var type in assembly.GetExportedTypes().OrderBy(type => type.FullName, StringComparer.Ordinal))
        {
            text.Append(Head(type)).Append('\n');
            foreach (var line in Members(type).Order(StringComparer.Ordinal))
                text.Append("    ").Append(line).Append('\n');
            text.Append('\n');
        }
        return text.ToString();
    }

    private static string Head(Type type)
    {
        var inherited = type.BaseType?.GetInterfaces() ?? [];
        var bases = new[] { type.BaseType }
            .OfType<Type>()
            .Where(parent => !Roots.Contains(parent.FullName))
            .Concat(type.GetInterfaces().Where(parent => parent.IsVisible && !inherited.Contains(parent)))
            .Select(Name)
            .Order(StringComparer.Ordinal)
            .ToList();
        var list = bases.Count == 0 ? "" : " : " + string.Join(", ", bases);
        return $"{Attributes(type)}{Modifier(type)}{Kind(type)} {Name(type)}{list}{Constraints(type.GetGenericArguments())}";
    }

    private static string Attributes(Type type)
    {
        var usage = type.GetCustomAttributesData().FirstOrDefault(each => each.AttributeType == typeof(AttributeUsageAttribute));
        if (usage is null)
            return "";
        var named = usage.NamedArguments.Select(each => $", {each.MemberName}={each.TypedValue.Value}");
        return $"[{(AttributeTargets)usage.ConstructorArguments[0].Value!}{string.Concat(named)}] ";
    }

    private static string Modifier(Type type) =>
        type switch
        {
            { IsClass: true, IsAbstract: true, IsSealed: true } => "static ",
            { IsClass: true, IsAbstract: true } => "abstract ",
            { IsClass: true, IsSealed: true } => "sealed ",
            _ => "",
        };

    private static string Kind(Type type) =>
        type switch
        {
            { IsEnum: true } => "enum",
            { IsInterface: true } => "interface",
            { IsValueType: true } => "struct",
            _ => "class",
        };

    private static IEnumerable<string> Members(Type type) =>
        [
            .. type.GetConstructors(Declared).Where(IsOpen).Select(constructor => $"{Access(constructor)}new({Parameters(constructor)})"),
            .. type.GetMethods(Declared).Where(IsWritten).Select(Method),
            .. type.GetProperties(Declared).Where(property => property.GetMethod is { } get && IsOpen(get)).Select(Property),
            .. type.GetFields(Declared)
                .Where(field => (field.IsPublic || field.IsFamily) && !field.IsSpecialName)
                .Select(field => Field(type, field)),
        ];

    private static bool IsWritten(MethodInfo method) =>
        IsOpen(method) && !method.IsSpecialName && !method.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false);

    private static bool IsOpen(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static string Access(MethodBase method) => (method.IsPublic ? "" : "protected ") + (method.IsStatic ? "static " : "");

    private static string Method(MethodInfo method)
    {
        var inheritance = method switch
        {
            { IsAbstract: true, DeclaringType.IsInterface: false } => "abstract ",
            { IsVirtual: true, IsFinal: false } when method.GetBaseDefinition() != method => "override ",
            { IsVirtual: true, IsFinal: false, IsAbstract: false } => "virtual ",
            _ => "",
        };
        var generics = method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Name))}>" : "";
        var extension = method.IsDefined(typeof(ExtensionAttribute), inherit: false) ? "this " : "";
        return $"{Access(method)}{inheritance}{Name(method.ReturnType)} {method.Name}{generics}({extension}{Parameters(method)})"
            + Constraints(method.GetGenericArguments());
    }

    private static string Property(PropertyInfo property)
    {
        var set = property.SetMethod switch
        {
            { } setter when IsOpen(setter) => setter.ReturnParameter.GetRequiredCustomModifiers().Length > 0 ? " init;" : " set;",
            _ => "",
        };
        return $"{Access(property.GetMethod!)}{Name(property.PropertyType)} {property.Name} {{ get;{set} }}";
    }

    private static string Field(Type type, FieldInfo field) =>
        field switch
        {
            { IsLiteral: true } when type.IsEnum =>
                $"{field.Name} = {Convert.ToInt64(field.GetRawConstantValue(), CultureInfo.InvariantCulture)}",
            { IsLiteral: true } => $"const {Name(field.FieldType)} {field.Name} = {field.GetRawConstantValue()}",
            { IsStatic: true } => $"static {Name(field.FieldType)} {field.Name}",
            _ => $"{Name(field.FieldType)} {field.Name}",
        };

    private static string Parameters(MethodBase method) =>
        string.Join(
            ", ",
            method
                .GetParameters()
                .Select(parameter =>
                {
                    var value = parameter.HasDefaultValue ? $" = {parameter.RawDefaultValue ?? "null"}" : "";
                    return $"{Name(parameter.ParameterType)} {parameter.Name}{value}";
                })
        );

    private static string Constraints(Type[] arguments) =>
        string.Concat(
            arguments
                .Where(each => each.IsGenericParameter)
                .Select(argument =>
                {
                    var attributes = argument.GenericParameterAttributes;
                    List<string> parts =
                    [
                        .. attributes.HasFlag(GenericParameterAttributes.ReferenceTypeConstraint) ? new[] { "class" } : [],
                        .. argument.GetGenericParameterConstraints().Select(Name).Order(StringComparer.Ordinal),
                        .. attributes.HasFlag(GenericParameterAttributes.DefaultConstructorConstraint) ? new[] { "new()" } : [],
                    ];
                    return parts.Count == 0 ? "" : $" where {argument.Name} : {string.Join(", ", parts)}";
                })
        );

    private static string Name(Type type)
    {
        if (type.IsArray)
            return Name(type.GetElementType()!) + "[]";
        if (type.IsGenericParameter)
            return type.Name;
        var name = type.FullName ?? $"{type.Namespace}.{type.Name}";
        return type.IsGenericType
            ? $"{name.Split('`')[0]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>"
            : Keywords.GetValueOrDefault(name, name);
    }
}
