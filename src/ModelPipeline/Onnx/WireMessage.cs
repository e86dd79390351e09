using System.Buffers;
using Google.Protobuf.Reflection;
using static Google.Protobuf.WireFormat;

namespace ModelPipeline.Onnx;

/// <summary>
/// Protobuf messages below the library that parses them. It copies every field of bytes and allocates whatever a file asks for; so tensor
/// data are cut out in place before it sees the file, and what it would allocate for the rest is estimated first.
/// </summary>
internal static class WireMessage
{
    /// <summary>Deepest nesting of messages; a model without subgraphs needs seven.</summary>
    private const int MaxDepth = 32;

    /// <summary>Bytes of objects, lists and typed graph behind one message, one string and one number of a list, at most.</summary>
    private const int MessageCost = 1024,
        StringCost = 192,
        NumberCost = 64;

    /// <summary>Cuts length-delimited fields out of a message without copying.</summary>
    /// <returns>The message without them, and the content of each in the order of the message.</returns>
    public static (ReadOnlySequence<byte> Remainder, IReadOnlyList<(int Field, ReadOnlyMemory<byte> Content)> Cut) Split(
        ReadOnlyMemory<byte> message,
        params ReadOnlySpan<int> fields
    )
    {
        List<(int, ReadOnlyMemory<byte>)> cut = [];
        Segment? first = null,
            last = null;
        var kept = 0;
        var reader = new FieldReader(message.Span);
        while (reader.Read())
        {
            if (reader.Type != WireType.LengthDelimited || !fields.Contains(reader.Number))
                continue;
            cut.Add((reader.Number, message[reader.Content]));
            Keep(reader.Whole.Start.Value);
            kept = reader.Whole.End.Value;
        }
        Keep(message.Length);
        return (first is null ? ReadOnlySequence<byte>.Empty : new(first, 0, last!, last!.Memory.Length), cut);

        void Keep(int end)
        {
            if (end == kept)
                return;
            last = new Segment(message[kept..end], last);
            first ??= last;
        }
    }

    /// <summary>Upper bound of the bytes that parsing a message, and typing what was parsed, allocates.</summary>
    public static long Cost(ReadOnlySequence<byte> message, MessageDescriptor type)
    {
        long cost = MessageCost;
        foreach (var fields in message)
            cost += Cost(fields.Span, type, depth: 1);
        return cost;
    }

    private static long Cost(ReadOnlySpan<byte> fields, MessageDescriptor type, int depth)
    {
        if (depth > MaxDepth)
            throw new FormatException($"its messages nest deeper than {MaxDepth}; an ONNX model without subgraphs was expected");
        long cost = 0;
        var reader = new FieldReader(fields);
        while (reader.Read())
        {
            var content = fields[reader.Content];
            var packed = reader.Type == WireType.LengthDelimited;
            cost += type.FindFieldByNumber(reader.Number) switch
            {
                null => 0,
                { FieldType: FieldType.Message } field when packed => MessageCost + Cost(content, field.MessageType, depth + 1),
                { FieldType: FieldType.String } => StringCost + 8L * content.Length,
                { FieldType: FieldType.Bytes } => StringCost + content.Length,
                { FieldType: FieldType.Float or FieldType.Double } when packed => StringCost + 3L * content.Length,
                { IsRepeated: true } => NumberCost * (packed ? (long)content.Length : 1),
                _ => 0,
            };
        }
        return cost;
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, Segment? previous)
        {
            Memory = memory;
            if (previous is null)
                return;
            previous.Next = this;
            RunningIndex = previous.RunningIndex + previous.Memory.Length;
        }
    }

    /// <summary>Steps through the fields of a message: where each begins and ends, and where its content does.</summary>
    private ref struct FieldReader(ReadOnlySpan<byte> message)
    {
        private readonly ReadOnlySpan<byte> message = message;
        private int position;

        public int Number { get; private set; }
        public WireType Type { get; private set; }
        public Range Whole { get; private set; }
        public Range Content { get; private set; }

        public bool Read()
        {
            if (position == message.Length)
                return false;
            var start = position;
            var tag = ReadVarint();
            Number = tag >> 3 is > 0 and < 1 << 29 ? (int)(tag >> 3) : throw Damaged();
            Type = (WireType)(tag & 7);
            var content = position;
            ulong length = 0;
            switch (Type)
            {
                case WireType.Varint:
                    ReadVarint();
                    break;
                case WireType.LengthDelimited:
                    length = ReadVarint();
                    content = position;
                    break;
                case WireType.Fixed32:
                    length = 4;
                    break;
                case WireType.Fixed64:
                    length = 8;
                    break;
                default:
                    throw Damaged();
            }
            if (length > (ulong)(message.Length - position))
                throw Damaged();
            position += (int)length;
            (Whole, Content) = (start..position, content..position);
            return true;
        }

        private ulong ReadVarint()
        {
            ulong value = 0;
            for (var shift = 0; shift < 64; shift += 7)
            {
                if (position == message.Length)
                    throw Damaged();
                var next = message[position++];
                value |= (ulong)(next & 0x7F) << shift;
                if (next < 0x80)
                    return value;
            }
            throw Damaged();
        }

        private static FormatException Damaged() =>
            new("a field in it is malformed or reaches beyond the end; the file is cut off, damaged or no ONNX model");
    }
}
